#!/usr/bin/env python3
"""Write unicode_table.c: what BERT's reference tokenizer thinks of every code point.

    python3 encoder/make_unicode_table.py > encoder/unicode_table.c

Needs libutf8proc.so.2 of utf8proc 2.8.0 (Unicode 15.0) and nothing else; the build and the program
need neither.  The reference (Hugging Face `tokenizers`) mixes Unicode versions: categories of about
Unicode 8, decompositions of about Unicode 12, lower case of its compiler.  The lists below are where
it differs from utf8proc 2.8.0, over all scalar values.
"""

import ctypes
import sys

# Format characters here, kept by the reference.
NOT_CF = "0890-0891 08E2 110CD 13430-1343F"
# Punctuation here, not there.
NOT_PUNCT = """
061D 09FD 0A76 0C77 0C84 1B7D-1B7E 2E43-2E4F 2E52-2E5D 10EAD 10F55-10F59 10F86-10F89 1144B-1144F
1145A-1145B 1145D 11660-1166C 116B9 1183B 11944-11946 119E2 11A3F-11A46 11A9A-11A9C 11A9E-11AA2
11B00-11B09 11C41-11C45 11C70-11C71 11EF7-11EF8 11F43-11F4F 11FFF 12FF1-12FF2 16E97-16E9A 16FE2
1E95E-1E95F
"""
# Punctuation there, not here.
PUNCT = "166D 111C9"
# Mn here, not stripped there.
NOT_MN = """
07FD 0898-089F 08CA-08E1 09FE 0AFA-0AFF 0B55 0C04 0C3C 0D00 0D3B-0D3C 0D81 0EBA 0ECE 180F 1885-1886
1ABF-1ACE 1DF6-1DFB A82C A8C5 A8FF A9BD 10D24-10D27 10EAB-10EAC 10EFD-10EFF 10F46-10F50 10F82-10F85
11070 11073-11074 110C2 111C9 111CF 1123E 11241 1133B 11438-1143F 11442-11444 11446 1145E
1182F-11837 11839-1183A 1193B-1193C 1193E 11943 119D4-119D7 119DA-119DB 119E0 11A01-11A0A
11A33-11A38 11A3B-11A3E 11A47 11A51-11A56 11A59-11A5B 11A8A-11A96 11A98-11A99 11C30-11C36
11C38-11C3D 11C3F 11C92-11CA7 11CAA-11CB0 11CB2-11CB3 11CB5-11CB6 11D31-11D36 11D3A 11D3C-11D3D
11D3F-11D45 11D47 11D90-11D91 11D95 11D97 11EF3-11EF4 11F00-11F01 11F36-11F3A 11F40 11F42 13440
13447-13455 16F4F 16FE4 1CF00-1CF2D 1CF30-1CF46 1E000-1E006 1E008-1E018 1E01B-1E021 1E023-1E024
1E026-1E02A 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E944-1E94A
"""
# Stripped there, not Mn here.
MN = "1734"
# Decomposed here only.
NOT_DECOMPOSED = "11938"
# Combining class 0 there.
CLASS_0 = """
07FD 0898-089F 08CA-08D3 09FE 0C3C 0D3B-0D3C 0EBA 1715 1ABF-1ACE 1DF6-1DFA A82C 10D24-10D27
10EAB-10EAC 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 1133B 1145E 11839-1183A 1193D-1193E 11943
119E0 11A34 11A47 11A99 11D42 11D44-11D45 11D97 11F41-11F42 16FF0-16FF1 1E08F 1E130-1E136 1E2AE
1E2EC-1E2EF 1E4EC-1E4EF
"""
# Lower case there only.  U+0130 becomes two code points: normalizer.c does it.
LOWER = {0x1C89: 0x1C8A, 0xA7CB: 0x264, 0xA7CC: 0xA7CD, 0xA7CE: 0xA7CF, 0xA7D2: 0xA7D3,
         0xA7D4: 0xA7D5, 0xA7DA: 0xA7DB, 0xA7DC: 0x19B, 0x130: 0x130}
LOWER.update({cp: cp + 0x20 for cp in range(0x10D50, 0x10D66)})
LOWER.update({cp: cp + 0x1B for cp in range(0x16EA0, 0x16EB9)})

# The property White_Space of Unicode.
SPACE = "0009-000D 0020 0085 00A0 1680 2000-200A 2028 2029 202F 205F 3000"
# Spaced by handle_chinese_chars; 2B920, not 2B820, as the reference has it.
CJK = "4E00-9FFF 3400-4DBF 20000-2A6DF 2A700-2B73F 2B740-2B81F 2B920-2CEAF F900-FAFF 2F800-2FA1F"
# Not letters by category, yet alphabetic, so they match \w.
OTHER_ALPHABETIC = "24B6-24E9 1F130-1F149 1F150-1F169 1F170-1F189"
JOIN_CONTROL = "200C-200D"

DROP_BIT, SPACE_BIT, CJK_BIT, PUNCT_BIT, WORD_BIT = 1, 2, 4, 8, 16
SAME = 255  # sequence length that stands for "unchanged by decomposing and stripping"
N_SCALARS = 0x110000
BLOCK = 128

CATEGORIES = "Cn Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co"


def expand(text):
    points = set()
    for item in text.split():
        first, _, last = item.partition("-")
        points.update(range(int(first, 16), int(last or first, 16) + 1))
    return points


class Property(ctypes.Structure):
    _fields_ = [("category", ctypes.c_int16), ("combining_class", ctypes.c_int16)]


def load_library():
    lib = ctypes.CDLL("libutf8proc.so.2")
    lib.utf8proc_unicode_version.restype = ctypes.c_char_p
    if lib.utf8proc_unicode_version() != b"15.0.0":
        sys.exit("the lists in this script belong to Unicode 15.0.0 (utf8proc 2.8.0)")
    lib.utf8proc_get_property.restype = ctypes.POINTER(Property)
    lib.utf8proc_tolower.restype = ctypes.c_int32
    lib.utf8proc_decompose_char.restype = ctypes.c_ssize_t
    return lib


def decompose(lib, cp):
    buffer = (ctypes.c_int32 * 32)()
    boundary = ctypes.c_int(0)
    decompose_option = 1 << 4
    n = lib.utf8proc_decompose_char(cp, buffer, 32, decompose_option, ctypes.byref(boundary))
    if not 1 <= n <= 32:
        sys.exit(f"cannot decompose U+{cp:04X}")
    return list(buffer[:n])


def class_bits(cp, category, sets):
    bits = 0
    dropped = category in ("Cc", "Co") or (category == "Cf" and cp not in sets["NOT_CF"])
    if (dropped and cp not in (9, 10, 13)) or cp == 0xFFFD:
        bits |= DROP_BIT
    if cp in sets["SPACE"]:
        bits |= SPACE_BIT
    if cp in sets["CJK"]:
        bits |= CJK_BIT
    ascii_punct = 0x21 <= cp <= 0x7E and not chr(cp).isalnum()
    unicode_punct = category[0] == "P" and cp not in sets["NOT_PUNCT"]
    if ascii_punct or unicode_punct or cp in sets["PUNCT"]:
        bits |= PUNCT_BIT
    if (category[0] in "LM" or category in ("Nd", "Nl", "Pc")
            or cp in sets["OTHER_ALPHABETIC"] or cp in sets["JOIN_CONTROL"]):
        bits |= WORD_BIT
    return bits


def collect(lib):
    """(class bits, combining class, stripped decomposition or None, lower - cp) of every scalar."""
    names = "NOT_CF NOT_PUNCT PUNCT NOT_MN MN NOT_DECOMPOSED CLASS_0 SPACE CJK OTHER_ALPHABETIC"
    sets = {name: expand(globals()[name]) for name in (names + " JOIN_CONTROL").split()}
    categories = CATEGORIES.split()
    category_of = [categories[lib.utf8proc_get_property(cp).contents.category]
                   for cp in range(N_SCALARS)]
    is_mn = [(category_of[cp] == "Mn" and cp not in sets["NOT_MN"]) or cp in sets["MN"]
             for cp in range(N_SCALARS)]
    for cp in range(N_SCALARS):
        if 0xD800 <= cp <= 0xDFFF:
            yield 0, 0, None, 0
            continue
        ccc = 0
        if cp not in sets["CLASS_0"]:
            ccc = lib.utf8proc_get_property(cp).contents.combining_class
        nfd = [cp]
        if cp not in sets["NOT_DECOMPOSED"] and not 0xAC00 <= cp <= 0xD7A3:
            nfd = decompose(lib, cp)
        stripped = tuple(part for part in nfd if not is_mn[part])
        lower = LOWER.get(cp, lib.utf8proc_tolower(cp))
        yield (class_bits(cp, category_of[cp], sets), ccc,
               None if stripped == (cp,) else stripped, lower - cp)


def pack(values):
    """Two-stage table: blocks of records' indices, the records, and one pool of sequences."""
    pool, records, record_idx = [], [], {}
    blocks, block_idx, stage1 = [], {}, []
    row = []
    for bits, ccc, sequence, delta in values:
        at = 0
        if sequence:
            text = ",".join(map(str, pool))
            wanted = ",".join(map(str, sequence))
            at = find_run(pool, text, wanted, sequence)
        record = (bits, ccc, SAME if sequence is None else len(sequence), at, delta)
        if record not in record_idx:
            record_idx[record] = len(records)
            records.append(record)
        row.append(record_idx[record])
        if len(row) == BLOCK:
            key = tuple(row)
            if key not in block_idx:
                block_idx[key] = len(blocks)
                blocks.append(key)
            stage1.append(block_idx[key])
            row = []
    return stage1, blocks, records, pool


def find_run(pool, text, wanted, sequence):
    """Where the sequence stands in the pool; appended when it does not."""
    at = ("," + text + ",").find("," + wanted + ",")
    if at >= 0:
        return ("," + text + ",")[:at].count(",")
    pool.extend(sequence)
    return len(pool) - len(sequence)


def print_array(declaration, items):
    print(f"{declaration} = {{")
    line = "   "
    for item in items:
        if len(line) + len(item) + 2 > 100:
            print(line)
            line = "   "
        line += f" {item},"
    print(line)
    print("};\n")


def main():
    stage1, blocks, records, pool = pack(collect(load_library()))
    if len(records) > 0xFFFF or len(blocks) > 0xFFFF or len(pool) > 0xFFFF:
        sys.exit("a table outgrew its index type")
    print("/* Written by encoder/make_unicode_table.py from utf8proc 2.8.0 (Unicode 15.0.0) and the\n"
          " * reference's exceptions listed there.  Do not edit. */\n")
    print("/* clang-format off */")
    print('#include "encoder/unicode_table.h"\n')
    print_array("const uint16_t unicode_stage1[0x110000 / UNICODE_BLOCK]", map(str, stage1))
    print_array(f"const uint16_t unicode_stage2[]", (str(i) for block in blocks for i in block))
    print_array("const struct unicode_record unicode_records[]",
                (f"{{{bits},{ccc},{length},{at},{delta}}}"
                 for bits, ccc, length, at, delta in records))
    print_array("const uint32_t unicode_pool[]", (f"0x{cp:X}" for cp in pool))


if __name__ == "__main__":
    main()
