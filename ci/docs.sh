#!/usr/bin/env bash
# API documentation without warnings; every relative link in Markdown leads to a file; both READMEs say the same; what the
# contracts say that must be is obeyed and shown somewhere.
. "$(dirname "$0")/lib.sh"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
bad=0
while IFS= read -r file; do
    while IFS= read -r link; do
        target=${link%%#*}
        [ -z "$target" ] && continue
        if [ ! -e "$(dirname "$file")/$target" ]; then
            echo "$file: broken link $link" >&2
            bad=1
        fi
    done < <(grep -oE '\]\([^)]+\)' "$file" | sed 's/^](//; s/)$//' | grep -vE '^(https?|mailto):' || true)
done < <(git ls-files '*.md')
python3 ci/readmes.py README.md README.ko.md || bad=1
python3 ci/rules.py || bad=1
exit $bad
