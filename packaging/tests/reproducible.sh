# Two builds are byte-identical: everything is compiled and packed once more, from a copy of the sources elsewhere. Takes
# as long as a release build; not among what is run by default.
# shellcheck shell=bash

copy=$work/copy
mkdir -p "$copy"
git ls-files -z | xargs -0 cp --parents -t "$copy"
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
(cd "$copy" && env -u AIVONX_BIN_DIR CARGO_TARGET_DIR="$copy/target" SOURCE_DATE_EPOCH="$epoch" packaging/build.sh all) >"$work/again" 2>&1 ||
    { tail -20 "$work/again" >&2; die "it cannot be built again"; }
for package in "$packages"/aivonx*"$version"*; do
    cmp "$package" "$copy/target/packages/${package##*/}" || die "${package##*/} is another in each build"
done
ok "a second build gives the same packages"
