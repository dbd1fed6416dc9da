#pragma once

/* The Lua files of celery/broker/redis/, as the server gets them; made by embed.py. */

extern const char redis_text_beat[];
extern const char redis_text_claim[];
extern const char redis_text_count[];
extern const char redis_text_dead[];
extern const char redis_text_leave[];
extern const char redis_text_publish[];
extern const char redis_text_pause[];
extern const char redis_text_purge[];
extern const char redis_text_queues[];
extern const char redis_text_revoke[];
extern const char redis_text_revoked[];
extern const char redis_text_scheduled[];
extern const char redis_text_settle[];
extern const char redis_text_tend[];
