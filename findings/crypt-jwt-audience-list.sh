#!/usr/bin/env bash
# Perl's Crypt::JWT refuses a token that is for two audiences, one of them being the verifier.
#
# Version: Debian libcrypt-jwt-perl 0.034 (and python3-jwt 2.6.0, which accepts it).
#
# RFC 7519 section 4.1.3: aud is an array of strings, or one string when there is one audience.
# Expected: verify_aud => "api" accepts "api", ["api"] and ["api","web"].
# Seen: it accepts the string alone. Both arrays fail with "aud claim scalar check failed", and a
# regular expression fails too.
# For an issuer: an array of one element, which many libraries write, locks such a verifier out.
# A verifier in Perl passes code: verify_aud => sub { ... }.
# Exit status: 0 as described, 1 changed, 2 not to be tried here.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 2' INT TERM
cd "$tmp"

untried() {
	echo "not tried: $*" >&2
	exit 2
}

# debian NAME=VERSION... unpacks packages of Debian bookworm, and those they need that are
# not installed, into $tmp/root. The system is not changed.
debian() {
	mkdir -p debs/partial root
	nice apt-get -qq -y --no-install-recommends --download-only -o Debug::NoLocking=1 \
		-o Dir::Cache::archives="$tmp/debs" install "$@" >apt.log 2>&1 || untried "apt-get install $* (apt-get update first?)"
	local deb
	for deb in debs/*.deb; do
		[ ! -e "$deb" ] || dpkg -x "$deb" root
	done
}

# use_unpacked makes programs find the unpacked packages before the system's.
use_unpacked() {
	local lib="$tmp"/root/usr/lib arch gems
	arch=$(uname -m)-linux-gnu
	gems=$(echo "$tmp"/root/usr/share/rubygems-integration/all/gems/*/lib | tr ' ' :)
	export PATH="$tmp/root/usr/bin:$tmp/root/usr/sbin:/usr/bin:/usr/sbin:$PATH" PYTHONWARNINGS=ignore
	export LD_LIBRARY_PATH="$lib/$arch:$lib/$arch/varnish:$lib:$tmp/root/lib/$arch"
	export PERL5LIB="$tmp/root/usr/share/perl5:$lib/$arch/perl5/5.36" PYTHONPATH="$lib/python3/dist-packages"
	export RUBYLIB="$lib/ruby/vendor_ruby:$lib/ruby/3.1.0:$lib/$arch/ruby/3.1.0:$gems"
}

# unpacked COMMAND... runs a command of the unpacked packages, or one that imports them.
unpacked() {
	(use_unpacked; exec timeout 120 "$@")
}

# expect WANT prints standard input, which is what was seen, and compares it.
expect() {
	local seen
	seen=$(cat)
	printf '%s\n' "$seen"
	if [ "$seen" != "$1" ]; then
		printf '\nchanged; described is:\n%s\n' "$1"
		exit 1
	fi
	printf '\nas described\n'
}

debian libcrypt-jwt-perl=0.034-1 python3-jwt=2.6.0-1+deb12u1
cat >check.pl <<'PL'
use Crypt::JWT qw(encode_jwt decode_jwt);
my $key = "0123456789abcdef0123456789abcdef";
for my $aud ("api", ["api"], ["api", "web"]) {
    my $token = encode_jwt(payload => {aud => $aud}, key => $key, alg => "HS256");
    my $name = ref $aud ? "array of " . @$aud : "string";
    my @verify = (["api", "api"], ["qr/^api\$/", qr/^api$/],
        ["sub", sub { my $a = shift; scalar grep { $_ eq "api" } ref $a ? @$a : $a }]);
    for my $v (@verify) {
        my $ok = eval { decode_jwt(token => $token, key => $key, accepted_alg => "HS256", verify_aud => $v->[1]); 1 };
        print "$name, verify_aud => $v->[0]: ", $ok ? "accepted" : "refused" . ($@ =~ /scalar check/ ? " (scalar check)" : ""), "\n";
    }
    print STDERR "$token\n";
}
PL
unpacked perl check.pl 2>tokens >perl.out
{
	cat perl.out
	while read -r token; do
		unpacked python3 -c 'import jwt, sys; jwt.decode(sys.argv[1], "0123456789abcdef0123456789abcdef", algorithms=["HS256"], audience="api"); print("PyJWT: accepted")' "$token"
	done <tokens
} | expect 'string, verify_aud => api: accepted
string, verify_aud => qr/^api$/: accepted
string, verify_aud => sub: accepted
array of 1, verify_aud => api: refused (scalar check)
array of 1, verify_aud => qr/^api$/: refused
array of 1, verify_aud => sub: accepted
array of 2, verify_aud => api: refused (scalar check)
array of 2, verify_aud => qr/^api$/: refused
array of 2, verify_aud => sub: accepted
PyJWT: accepted
PyJWT: accepted
PyJWT: accepted'
