"""The Hub's tag vocabulary, and how the words of a Croissant file map back to it.

A tag is a flat string with a prefix before its first colon (`task_categories:`, `language:`,
`license:`, `size_categories:`, `format:`, `modality:`, `library:`, `region:` ...); a word without
a known place is a free keyword, and is a tag as it stands.
"""

from __future__ import annotations

LANGUAGES = {
    "Afrikaans": "af", "Amharic": "am", "Arabic": "ar", "Armenian": "hy", "Azerbaijani": "az",
    "Basque": "eu", "Belarusian": "be", "Bengali": "bn", "Bulgarian": "bg", "Burmese": "my",
    "Catalan": "ca", "Chinese": "zh", "Croatian": "hr", "Czech": "cs", "Danish": "da",
    "Dutch": "nl", "English": "en", "Estonian": "et", "Finnish": "fi", "French": "fr",
    "Galician": "gl", "Georgian": "ka", "German": "de", "Greek": "el", "Gujarati": "gu",
    "Hausa": "ha", "Hebrew": "he", "Hindi": "hi", "Hungarian": "hu", "Icelandic": "is",
    "Igbo": "ig", "Indonesian": "id", "Irish": "ga", "Italian": "it", "Japanese": "ja",
    "Javanese": "jv", "Kannada": "kn", "Kazakh": "kk", "Khmer": "km", "Korean": "ko",
    "Kyrgyz": "ky", "Latin": "la", "Latvian": "lv", "Lithuanian": "lt", "Macedonian": "mk",
    "Malay": "ms", "Malayalam": "ml", "Marathi": "mr", "Mongolian": "mn", "Nepali": "ne",
    "Norwegian": "no", "Persian": "fa", "Polish": "pl", "Portuguese": "pt", "Punjabi": "pa",
    "Romanian": "ro", "Russian": "ru", "Serbian": "sr", "Sinhala": "si", "Slovak": "sk",
    "Slovenian": "sl", "Somali": "so", "Spanish": "es", "Swahili": "sw", "Swedish": "sv",
    "Tamil": "ta", "Telugu": "te", "Thai": "th", "Tibetan": "bo", "Turkish": "tr",
    "Ukrainian": "uk", "Urdu": "ur", "Uzbek": "uz", "Vietnamese": "vi", "Welsh": "cy",
    "Wolof": "wo", "Xhosa": "xh", "Yoruba": "yo", "Zulu": "zu",
}

SIZES = {
    "< 1K": "n<1K", "1K - 10K": "1K<n<10K", "10K - 100K": "10K<n<100K",
    "100K - 1M": "100K<n<1M", "1M - 10M": "1M<n<10M", "10M - 100M": "10M<n<100M",
    "100M - 1B": "100M<n<1B", "1B - 10B": "1B<n<10B", "10B - 100B": "10B<n<100B",
    "100B - 1T": "100B<n<1T", "> 1T": "n>1T",
}

FORMATS = frozenset((
    "json", "csv", "parquet", "optimized-parquet", "imagefolder", "audiofolder", "soundfolder",
    "webdataset", "text", "arrow", "lance", "agent-traces"))

MODALITIES = {
    "Text": "text", "Image": "image", "Audio": "audio", "Video": "video", "Tabular": "tabular",
    "Time-series": "timeseries", "Timeseries": "timeseries", "Geospatial": "geospatial",
    "3D": "3d", "Document": "document",
}

LIBRARIES = {
    "Datasets": "datasets", "pandas": "pandas", "Croissant": "mlcroissant", "Polars": "polars",
    "Dask": "dask", "WebDataset": "webdataset", "LeRobot": "lerobot", "Lance": "lance",
}

REGIONS = {"🇺🇸 Region: US": "us", "🇪🇺 Region: EU": "eu"}

LICENSES = frozenset((
    "apache-2.0", "mit", "cc-by-4.0", "cc-by-3.0", "cc-by-2.5", "cc-by-2.0", "cc0-1.0",
    "cc-by-sa-4.0", "cc-by-sa-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc",
    "odc-by", "odbl", "pddl", "afl-3.0", "gpl", "gpl-3.0", "lgpl-3.0", "agpl-3.0",
    "bsd-3-clause", "unlicense", "cdla-permissive-1.0", "cdla-permissive-2.0", "etalab-2.0",
    "postgresql", "ecl-2.0", "ms-pl", "zlib", "openrail", "other", "unknown"))

LICENSE_NAMES = {
    "Apache License 2.0": "apache-2.0",
    "MIT License": "mit",
    "Creative Commons Attribution 4.0 International Public License": "cc-by-4.0",
    "Creative Commons Zero v1.0 Universal": "cc0-1.0",
    "Open Data Commons Attribution License v1.0": "odc-by",
    "Academic Free License v3.0": "afl-3.0",
    "Creative Commons Attribution 3.0": "cc-by-3.0",
    "Creative Commons Attribution 2.5": "cc-by-2.5",
    "Creative Commons Attribution 2.0": "cc-by-2.0",
    "Community Data License Agreement Permissive 2.0": "cdla-permissive-2.0",
    "Community Data License Agreement Permissive 1.0": "cdla-permissive-1.0",
    "The Unlicense": "unlicense",
    "Public Domain Dedication & License": "pddl",
    "Etalab Open License 2.0 English": "etalab-2.0",
    "PostgreSQL License": "postgresql",
    "Educational Community License v2.0": "ecl-2.0",
    "Microsoft Public License": "ms-pl",
    "zlib License": "zlib",
}

TASKS = frozenset((
    "text-generation", "question-answering", "text-classification", "summarization",
    "image-to-text", "token-classification", "translation", "text-to-image", "feature-extraction",
    "text-retrieval", "robotics", "automatic-speech-recognition", "sentence-similarity",
    "image-classification", "table-question-answering", "text2text-generation",
    "visual-question-answering", "text-to-speech", "zero-shot-classification", "multiple-choice",
    "tabular-classification", "tabular-regression", "audio-classification", "fill-mask",
    "image-text-to-text", "object-detection", "reinforcement-learning", "image-segmentation",
    "image-to-image", "image-feature-extraction", "video-classification", "video-text-to-text",
    "time-series-forecasting", "audio-to-audio", "visual-document-retrieval", "text-to-audio",
    "depth-estimation", "text-ranking", "text-to-video", "text-to-3d", "image-to-3d",
    "image-to-video", "mask-generation", "graph-ml", "other-task",
    "unconditional-image-generation", "zero-shot-image-classification", "keypoint-detection",
    "table-to-text", "document-question-answering", "any-to-any", "voice-activity-detection"))

TASK_IDS = frozenset((
    "language-modeling", "document-retrieval", "multiple-choice-qa", "sentiment-classification",
    "open-domain-qa", "multi-class-classification", "extractive-qa", "named-entity-recognition",
    "natural-language-inference", "multi-label-classification", "topic-classification",
    "closed-domain-qa", "dialogue-modeling", "part-of-speech", "semantic-similarity-scoring",
    "news-articles-summarization", "masked-language-modeling", "fact-checking",
    "intent-classification", "hate-speech-detection", "text-scoring", "abstractive-qa"))

ANNOTATORS = frozenset((
    "crowdsourced", "expert-generated", "expert-annotated", "machine-generated", "no-annotation",
    "derived", "found", "human-annotated", "LM-generated", "other-annotator"))

MULTILINGUALITY = frozenset(("monolingual", "multilingual", "translated"))


def tag_of(word: str) -> str:
    """The Hub's tag for a keyword of a Croissant file."""
    tables = (("language:", LANGUAGES), ("size_categories:", SIZES), ("modality:", MODALITIES),
              ("library:", LIBRARIES), ("region:", REGIONS))
    for prefix, table in tables:
        if word in table:
            return prefix + table[word]
    sets = (("license:", LICENSES), ("format:", FORMATS), ("task_categories:", TASKS),
            ("task_ids:", TASK_IDS), ("annotations_creators:", ANNOTATORS),
            ("multilinguality:", MULTILINGUALITY))
    for prefix, words in sets:
        if word in words:
            return prefix + word
    if word in SIZES.values():
        return "size_categories:" + word
    if word == "original":
        return "source_datasets:original"
    return word
