# What the distributions' own checkers say of the packages: nothing.
# shellcheck shell=bash

lintian --allow-root --fail-on error,warning "$packages/aivonx_${version}_amd64.deb" "$packages/aivonx-dbgsym_${version}_amd64.deb" \
    >"$work/lintian" 2>&1 || { cat "$work/lintian"; die "lintian found something"; }
[ ! -s "$work/lintian" ] || { cat "$work/lintian"; die "lintian found something"; }
ok "lintian finds nothing"

rpmlint -c packaging/rpm/rpmlint.toml "$packages/aivonx-$version-1.x86_64.rpm" "$packages/aivonx-debuginfo-$version-1.x86_64.rpm" \
    >"$work/rpmlint" 2>&1 || { cat "$work/rpmlint"; die "rpmlint found something"; }
grep -q ' 0 errors, 0 warnings' "$work/rpmlint" || { cat "$work/rpmlint"; die "rpmlint found something"; }
ok "rpmlint finds nothing"
