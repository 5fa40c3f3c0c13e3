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
. "$(dirname "$(realpath "$0")")/setup.bash"

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
