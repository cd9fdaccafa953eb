# Makes the .rpm and its -debuginfo; part of packaging/build.sh.
# shellcheck shell=bash disable=SC2154

rpm=$work/rpm/root
stage "$rpm" /usr/share/zsh/site-functions
install -D -m 644 packaging/rpm/90-aivonx.preset "$rpm/usr/lib/systemd/system-preset/90-aivonx.preset"
install -D -m 644 -t "$rpm/usr/share/doc/aivonx" CHANGELOG.md
install -D -m 644 -t "$rpm/usr/share/licenses/aivonx" LICENSE LICENSE-MIT LICENSE-APACHE "$work/THIRD-PARTY"
cp -a "$work/symbols/usr/lib/debug" "$rpm/usr/lib/"
date_all "$rpm"

# Everything staged, as the spec's file list; configuration and documentation are marked where rpm does not see it.
(cd "$rpm" && find . -type f -printf '/%P\n' | sort) | sed -E '
    \|^/usr/lib/debug/|d
    s|^/etc/|%config(noreplace) &|
    s|^/usr/share/licenses/|%license &|
    s|^/usr/share/doc/|%doc &|' >"$work/rpm/files"
expand packaging/rpm/aivonx.spec >"$work/rpm/aivonx.spec"

payload=w19.zstdio
[ "${AIVONX_COMPRESS:-}" = fast ] && payload=w1.gzdio
# rpm signs nothing here; the host's name and the clock stay out.
rpmbuild -bb --quiet --target x86_64-linux \
    --define "_topdir $work/rpm" --define "_rpmdir $out" --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
    --define "stage $rpm" --define "filelist $work/rpm/files" \
    --define '_buildhost localhost' --define 'use_source_date_epoch_as_buildtime 1' \
    --define 'clamp_mtime_to_source_date_epoch 1' --define '_build_id_links none' \
    --define '_binary_payload $payload' --define 'debug_package %{nil}' --define '__os_install_post %{nil}' \
    "$work/rpm/aivonx.spec"
