"""Names that are odd and allowed: quotes, paths, markup, templates, letters of any script."""

ODD = (
    "a'b", 'a"b', "../../x", "a/b", "/etc", "-x", "--help", "a:b", "50%", "$(id)", "`id`", "a;b",
    "{{ 7*7 }}", "<script>", "häuser", "\N{PILE OF POO}", "木" * 250, " x ", "a\\", "models:/x@y",
)  # fmt: skip
