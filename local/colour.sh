# Colour on a terminal, and nowhere else; NO_COLOR (no-color.org) turns it off. As data/colour.py does for Python.

say() {    # say DESCRIPTOR CODE WORD [REST]: a line whose first word is coloured; 31 red, 32 green
  local on="" off=""
  [[ ! -t $1 || ${NO_COLOR:-} || ${TERM:-} == dumb ]] || on=$'\e['$2m off=$'\e[0m'
  printf '%s%s%s%s\n' "$on" "$3" "$off" "${4:+ $4}" >&"$1"
}

complain() {    # complain WORDS: the one line of an error
  say 2 31 error: "$1"
}
