/* The models that can be fetched, pinned: a row per file.
 *
 * all-MiniLM-L6-v2: the revision and the SHA-256 of model.safetensors, tokenizer.json and vocab.txt
 * are those that the Hub shows for it.  The small files' SHA-256 were taken from a published copy
 * of the same model whose three large files have exactly these digests. */

#include "lib/services/ml/model_table.h"

#include <trawl/attributes.h>

static const struct model_file all_minilm_l6_v2_files[] = {
    {"model.safetensors", 90868376,
     "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
    {"tokenizer.json", 466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"},
    {"vocab.txt", 231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"},
    {"config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"},
    {"modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"},
    {"1_Pooling/config.json", 190,
     "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"},
    {"sentence_bert_config.json", 53,
     "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"},
    {"tokenizer_config.json", 350,
     "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"},
    {"special_tokens_map.json", 112,
     "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"},
    {"config_sentence_transformers.json", 116,
     "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"},
};

static const struct model models[] = {
    {.name = "all-MiniLM-L6-v2",
     .repo = "sentence-transformers/all-MiniLM-L6-v2",
     .revision = "1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
     .files = all_minilm_l6_v2_files,
     .n_files = COUNT_OF(all_minilm_l6_v2_files)},
};

const struct model_table model_table_pinned = {models, COUNT_OF(models)};
