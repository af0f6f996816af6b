"""Lists of heads as files, one module a format; `mechdyn.heads.HeadFormat` says what a format is."""
