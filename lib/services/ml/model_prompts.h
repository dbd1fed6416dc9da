#pragma once

/* The prompts that are used: what the settings say, else what the model asks for. */

#include <trawl/encoder.h>
#include <trawl/error.h>
#include <trawl/str.h>

#define MODEL_PROMPT_BYTES   512
#define MODEL_IDENTITY_BYTES 160

/* Choose both.
 *
 * query, document  settings: absent or "auto" = the model's; "none" = none; else the text itself
 * out              texts are the settings' or the encoder's; origins are never absent
 *
 * Errors: ERR_CONFIG (over MODEL_PROMPT_BYTES, not UTF-8, leaves a text no room), naming the
 * setting or the file; ERR_NOMEM. */
MUST_CHECK int model_prompts_choose(struct encoder *encoder, struct str query, struct str document,
                                    struct encoder_prompts *out, struct error *err);

/* The identity of vectors of documents: the fingerprint, and where there is a prompt, eight digits
 * of its SHA-256 behind the content's hash: "bert-l12-h384-mean/1b2c3d4e5f607182~9a3f51c2/f32-1".
 */
MUST_CHECK int model_prompts_identity(struct str fingerprint, struct str document_prompt,
                                      char out[MODEL_IDENTITY_BYTES], struct error *err);

/* Do two identities differ in nothing but their document prompts?  Then one query serves both. */
bool model_prompts_is_same_model(struct str a, struct str b);
