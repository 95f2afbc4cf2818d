"""Names that mean something to a shell, a database, a browser, a file system or a terminal."""

HOSTILE = [
    "../../x", "/etc/passwd", "a/b", "..", ".", "C:\\x", "file:///x",
    "<script>alert(1)</script>", "'; drop table runs; --", "$(touch x)",
    "`touch x`", "; touch x", "| touch x", "&& touch x", "line\nbreak",
    "return\rhere", "both\r\nends", "tab\there", "\x1b[2Jescape",
    "x" * 5000, "x" * 5001, "y" * 6001, "y" * 6002, "🐧", "👩‍👩‍👧", "שלום",
    "\u202eright to left", "a", "A", "á", "a\u0301", "ﬁ", "fi", "ı", "I",
    "i", " leading", "trailing ", "  ", "007", "7", "7.0", "1e3", "-1",
    "inf", "0x10", "NA", "null", "None", "true", "back`tick", "``",
    "dot.ted", "a.b.c", "*", '"double"', "'single'", "100%", "%s",
    "%(x)s", "{brace}", "{0}", "$x$", "$\\frac$", "_underscore", "__THIS__",
    "${HOME}", "=1+1", "@x", "#comment", "a,b", "[a, b]", "--seed", "-P",
    "group", "eps_", "feature_0", "order", "index", "\\", "\\n",
]  # fmt: skip
