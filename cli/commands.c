/* The table of commands, with their help. */

#include "cli/commands.h"

const struct cli_command cli_commands[] = {
    {"run", "TASK [--parameter value ...]", "run one task here and now",
     "Runs a task in this process, with a progress bar, and prints its result.\n"
     "Without TASK, or with --list, lists the tasks and their parameters; those of plug-ins, "
     "which\n"
     "`include` in trawl.yaml names, are among them.\n\n"
     "Example:\n"
     "  trawl run enrich.fetch_hf_datasets --limit 500 --days-back 0",
     command_run},
    {"call", "TASK [--parameter value ...] [options]", "hand a task to a worker",
     "Sends a task to the broker and prints its id.  Name and arguments are checked first;\n"
     "--foreign sends a task of another worker (a Python one) without checks.  With --wait the\n"
     "exit status is the task's: 0 SUCCESS, else 1 or that of its error (3, 4, 6).\n"
     "With --unique, or where the rules say so, a second one of its kind is not sent: the id of\n"
     "the one that is there is printed, and the exit status is 7.\n\n"
     "Examples:\n"
     "  trawl call enrich.fetch_hf_datasets --limit 500 --wait --timeout 600\n"
     "  trawl call enrich.generate_embeddings --unique running",
     command_call},
    {"result", "ID [--wait]", "show what became of a task that was sent",
     "State and result by the task's id.  PENDING also means: never heard of it.  The exit status\n"
     "is the task's, as with 'trawl call --wait'; 0 while it has not ended.\n\n"
     "Example:\n"
     "  trawl result f9b23158-ff7a-4805-9b4d-958ee1afeef7 --wait",
     command_result},
    {"queue", "list|pause|resume [QUEUE] [options]", "show queues, stop and start them",
     "list    every queue: what is ready, waits for its time or a limit, is with workers; since "
     "when\n"
     "        it is paused, by whom and why\n"
     "pause   no worker of any host takes from it, within a second and until it is resumed;\n"
     "        running tasks end, what is sent waits\n"
     "resume  workers go on\n\n"
     "Examples:\n"
     "  trawl queue list\n"
     "  trawl queue pause crawl --why \"disk is full\"",
     command_queue},
    {"purge", "[QUEUE] --yes", "throw away the messages that wait",
     "Of one queue, or of all.  What a worker has taken stays with it.  Without --yes it only\n"
     "counts.\n\n"
     "Example:\n"
     "  trawl purge celery --yes",
     command_purge},
    {"dead", "list|show|requeue|drop [ID] [options]", "look after messages that could not be run",
     "list     reasons, newest last\n"
     "show     one message with its raw bytes\n"
     "requeue  back to the end of its queue, as new\n"
     "drop     for good\n\n"
     "Example:\n"
     "  trawl dead requeue 3",
     command_dead},
    {"beat", "[options]", "send tasks when their time has come",
     "Sends the tasks of the schedule to the broker until told to stop: the default one, with "
     "what\n"
     "beat_schedule in trawl.yaml changes.  Any number may run: one leads, another takes over\n"
     "within 5 s.  --dry-run shows what is due and when, and sends nothing.\n\n"
     "Example:\n"
     "  trawl beat --dry-run --count 5",
     command_beat},
    {"worker", "[options]", "run tasks from the queue until told to stop",
     "Takes tasks from the broker, runs them in processes of its own and stores their results.\n"
     "SIGTERM or Ctrl-C: running tasks end, the others go back; a second one kills them, too.\n\n"
     "Example:\n"
     "  trawl worker -c 2 -Q celery --time-limit 3600",
     command_worker},
    {"status", "[options]", "list the workers that are online",
     "One line per worker, ours and Python's, on the configured broker.  The exit status is 1 "
     "when\n"
     "none answers.\n\n"
     "Example:\n"
     "  trawl status --timeout 2",
     command_status},
    {"inspect", "COMMAND [ARGUMENT ...] [options]", "ask workers what they do",
     "registered [ATTRIBUTE ...]  the tasks that a worker knows; --json has their arguments\n"
     "active                      the tasks that run\n"
     "reserved                    those that were received and wait for their turn\n"
     "scheduled                   those that wait for their eta in a worker's queues\n"
     "revoked                     the ids that were revoked\n"
     "query_task ID ...           where these tasks are\n"
     "stats                       figures of the worker and its pool\n"
     "active_queues               the queues that it takes from\n"
     "ping, clock, memsample      whether it answers, its logical clock, its memory\n"
     "memdump [N]                 what memsample has seen since it was last told\n"
     "objgraph [TYPE [N [DEPTH]]] objects of Python workers that have the library\n"
     "conf, report                its settings (without secrets), its versions\n\n"
     "Examples:\n"
     "  trawl inspect registered\n"
     "  trawl inspect active --destination trawl@host1 --json",
     command_inspect},
    {"control", "COMMAND [ARGUMENT ...] [options]", "tell workers what to do",
     "revoke ID ...               do not run these tasks, for 30 days; --terminate: nor go on\n"
     "terminate ID ...            the same with --terminate\n"
     "revoke_by_stamped_headers HEADER=VALUE ...\n"
     "                            the same for tasks that carry one of these stamps\n"
     "shutdown                    end after the running tasks\n"
     "pool_grow [N]               more processes\n"
     "pool_shrink [N]             fewer processes\n"
     "pool_restart                new processes, after their tasks\n"
     "autoscale [MAX [MIN]]       bounds of 'trawl worker --autoscale'\n"
     "add_consumer QUEUE          take from this queue, too\n"
     "cancel_consumer QUEUE       take no more from it\n"
     "time_limit TASK SOFT [HARD] seconds that a task may take; 0 = no limit\n"
     "rate_limit TASK RATE        starts by each worker: '10/m' (s, m, h); 0 = no limit\n"
     "enable_events, disable_events, heartbeat\n"
     "                            what monitors hear of a worker\n\n"
     "Examples:\n"
     "  trawl control revoke f9b23158-ff7a-4805-9b4d-958ee1afeef7 --terminate\n"
     "  trawl control rate_limit enrich.fetch_hf_datasets 10/m\n"
     "  trawl control shutdown --destination trawl@host1",
     command_control},
    {"tasks", "[retry] [options]", "list tasks that have ended, or send many again",
     "Newest first, of all workers of this host: what ended how, when, with which arguments.\n"
     "'trawl tasks retry' sends those that the options choose again, with the same arguments and\n"
     "under new ids; without --yes it only counts.\n\n"
     "Examples:\n"
     "  trawl tasks --state FAILURE --since 2d --text '\"owner/name\"'\n"
     "  trawl tasks retry --state FAILURE --name kaggle.enrich_pending --yes",
     command_tasks},
    {"task", "ID | retry ID [options]", "show one task: its attempts and what it logged",
     "The first characters of the id do, as 'trawl tasks' shows them.  'trawl task retry ID' "
     "sends\n"
     "it again, with the same arguments and under a new id.\n\n"
     "Examples:\n"
     "  trawl task f9b23158\n"
     "  trawl task f9b23158 --logs",
     command_task},
    {"events", "[options]", "watch what workers and tasks do",
     "One line per event, ours and Python's, until Ctrl-C; --json: one object per line.  Events "
     "of\n"
     "tasks come from workers that were started with -E, or told so by --enable-events.\n\n"
     "  trawl events --type task-failed\n"
     "  trawl events --enable-events --json --for 60",
     command_events},
    {"top", "[options]", "workers, queues and tasks at a glance",
     "Drawn anew each second: workers with their load, queues with their depths, rates and times\n"
     "per task, the latest failures; q ends it.  Without a terminal, or with --once, one picture\n"
     "after --for seconds.  Rates and times need events of tasks: --enable-events.\n\n"
     "  trawl top --enable-events\n"
     "  trawl top --once --json",
     command_top},
    {"search", "QUERY [options]", "find datasets by words and by meaning",
     "Ranks by keywords (BM25 over title, description, owner, tags, columns) and by meaning\n"
     "(vectors), fused by reciprocal rank and weighted by the static score.  An exact reference "
     "or\n"
     "title comes first.  Without QUERY, by static score.\n\n"
     "Example:\n"
     "  trawl search \"daily air quality in cities\" --source huggingface --limit 5 --why",
     command_search},
    {"show", "REF", "show one dataset and its history",
     "REF is an id, a reference as the source writes it, \"source:reference\", or a URL.  The static\n"
     "score comes with its parts.\n\n"
     "Example:\n"
     "  trawl show kaggle:zillow/zecon",
     command_show},
    {"eval", "--queries FILE --qrels FILE [options]", "measure search by judged queries",
     "Prints nDCG@10, MRR@10 and recall@100 of four rankings: by keywords (bm25f), by meaning\n"
     "(dense), both fused (hybrid), and with the static score (hybrid+prior).  Documents are "
     "named\n"
     "by their references; --documents searches those of a file instead of the catalogue.\n\n"
     "Example:\n"
     "  trawl eval --queries topics.tsv --qrels qrels.txt --documents documents.jsonl",
     command_eval},
    {"stats", "[options]", "count what the catalogue holds",
     "Rows by source and state, and where each source's harvest stands.\n\n"
     "Example:\n"
     "  trawl stats --json",
     command_stats},
    {"runs", "[TASK] [options]", "list past runs and their results",
     "Newest first; --rejects N shows the records that run N could not use.\n\n"
     "Example:\n"
     "  trawl runs kaggle.seed_initial --limit 3",
     command_runs},
    {"export", "--format NAME [REF...] [options]", "write datasets to a file, in a standard form",
     "The whole catalogue, what passes the filters, or the datasets that are named.\n\n"
     "jsonl          all that is known, one JSON object a line\n"
     "csv            the same as columns, by RFC 4180\n"
     "dcat           DCAT-AP 3 in JSON-LD, for data portals\n"
     "croissant      Croissant 1.1 in JSON-LD, for machine learning and search engines\n"
     "croissant-1.0  the same for older readers\n\n"
     "Without --output the rows go to standard output, and --json's summary to standard error.\n\n"
     "Examples:\n"
     "  trawl export --format croissant rajpurkar/squad\n"
     "  trawl export --format csv --output catalogue.csv --source kaggle --since 30d\n"
     "  trawl export --format dcat --license cc-by-4.0 | gzip > open.jsonld.gz\n"
     "  trawl export --jsonl catalogue.jsonl --source huggingface",
     command_export},
    {"model", "pull|list|check [DIR] [options]", "get and check embedding models",
     "pull   download the model, verified; --from DIR takes a local copy\n"
     "list   models that can be pulled, and those that are here\n"
     "check  what a model directory holds, and whether its files are whole\n\n"
     "Example:\n"
     "  trawl model pull",
     command_model},
    {"db", "migrate|check", "prepare and check the database",
     "migrate  create the tables, or bring an older database up to date\n"
     "check    read everything and verify it\n\n"
     "Example:\n"
     "  trawl db check",
     command_db},
    {"config", "show", "show every setting and where it came from",
     "A flag goes before the environment, the environment before trawl.yaml, that before the\n"
     "default.  Secrets are not shown.\n\n"
     "Example:\n"
     "  trawl config show",
     command_config},
    {NULL, NULL, NULL, NULL, NULL},
};
