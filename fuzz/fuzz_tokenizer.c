/* The tokenizer on any bytes.  The first byte chooses what they are:
 *
 *     0  tokenizer.json, and then the text that is tokenized with it
 *     1  vocab.txt, likewise
 *     2  text for a small vocabulary with every kind of added token */

#include <assert.h>
#include <stdint.h>

#include <trawl/attributes.h>
#include <trawl/encoder.h>

#include "encoder/tokenizer.h"

#define ARENA_BYTES ((size_t)64 << 20)
#define IDS_MAX     64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char small_json[] =
    "{\"version\":\"1.0\",\"added_tokens\":[{\"content\":\"[UNK]\",\"normalized\":false},"
    "{\"content\":\"[CLS]\",\"normalized\":false,\"lstrip\":true},"
    "{\"content\":\"[SEP]\",\"normalized\":false,\"rstrip\":true},"
    "{\"content\":\"ab\",\"normalized\":false,\"single_word\":true},"
    "{\"content\":\"\xC3\x89 x\"},{\"content\":\"x\",\"single_word\":true,\"lstrip\":true}],"
    "\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}"
    ","
    "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",2],\"cls\":[\"[CLS]\",1]},"
    "\"model\":{\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\","
    "\"max_input_chars_per_word\":9,\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"a\":3,\"##b\":"
    "4,"
    "\"\xC3\xA9\":5,\"##\xE1\x85\xA1\":6,\"\xE1\x84\x80\":7,\"!\":8}}}";

static void
encode(const struct tokenizer *tokenizer, struct str text)
{
    static struct tokenizer_scratch scratch;
    size_t n_specials = tokenizer_n_specials(tokenizer);
    int32_t ids[IDS_MAX];
    size_t n_ids;
    uint8_t flags;

    tokenizer_scratch_init(&scratch);
    if (tokenizer_encode(tokenizer, &scratch, text, IDS_MAX, ids, &n_ids, &flags, NULL) == 0) {
        assert(n_ids >= n_specials && n_ids <= IDS_MAX);
        for (size_t i = 0; i < n_ids; i++)
            assert(ids[i] >= 0 && ids[i] <= tokenizer_max_id(tokenizer));
    }
    tokenizer_scratch_fini(&scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vocab_txt_names names = {
        STR_INIT("[UNK]"), STR_INIT("[CLS]"),  STR_INIT("[SEP]"),
        STR_INIT("[PAD]"), STR_INIT("[MASK]"),
    };
    CLEANUP(arena_fini) struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct tokenizer *tokenizer = NULL;
    struct tokenizer_spec spec;
    struct str text;
    int rc;

    if (size == 0)
        return 0;
    text = (struct str){(const char *)data + 1, size - 1};
    if (data[0] == 1)
        rc = vocab_txt_parse(text, &names, (struct normalizer_options){true, true, true, true},
                             &arena, &spec, NULL);
    else
        rc = tokenizer_json_parse(data[0] == 0 ? text : STR(small_json), &arena, &spec, NULL);
    if (rc == 0 && tokenizer_create(&spec, &tokenizer, NULL) == 0)
        encode(tokenizer, text);
    tokenizer_free(tokenizer);
    return 0;
}
