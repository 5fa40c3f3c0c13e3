package counterfoil

import "fmt"

// Format is what a credential is made of. It decides size, readability, and
// whether a verifier resolves it by signature or by look-up.
type Format uint8

// The formats. The shape of a credential alone shows its format.
const (
	Opaque Format = iota + 1 // 32 random bytes: a name for the session row
	JWT                      // a signed copy of the row (RFC 7519)
	JWE                      // a signed copy inside an encrypted one (RFC 7516)
)

// Transport is how a credential travels. It decides CSRF, XSS, domains and mobile use.
type Transport uint8

// The transports.
const (
	Cookie Transport = iota + 1 // sent by the browser on its own: CSRF protection applies
	Header                      // sent by the client's code in Authorization
)

// Carrier is a point in format × transport: what a client holds for its login.
type Carrier struct {
	Format    Format
	Transport Transport
}

// The presets, by the names that configuration and the API use.
var (
	CarrierCookie    = Carrier{Opaque, Cookie} // "cookie": server-rendered apps, BFFs, admin panels
	CarrierBearer    = Carrier{JWT, Header}    // "bearer": SPAs, mobile apps, services, CLIs
	CarrierJWTCookie = Carrier{JWT, Cookie}    // "jwt-cookie": front ends on several services of one site
	CarrierJWE       = Carrier{JWE, Header}    // "jwe": claims that the holder must not read
	CarrierJWECookie = Carrier{JWE, Cookie}    // "jwe-cookie": the same, in a cookie
)

var carrierNames = map[Carrier]string{
	CarrierCookie: "cookie", CarrierBearer: "bearer", CarrierJWTCookie: "jwt-cookie",
	CarrierJWE: "jwe", CarrierJWECookie: "jwe-cookie",
	{Opaque, Header}: "opaque-header", // can arrive, is never issued
}

// String returns the preset's name.
func (c Carrier) String() string {
	if name, ok := carrierNames[c]; ok {
		return name
	}
	return fmt.Sprintf("carrier(%d,%d)", c.Format, c.Transport)
}

// MarshalText writes the preset's name.
func (c Carrier) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a preset's name. The five presets are all that an issuer hands out.
func (c *Carrier) UnmarshalText(text []byte) error {
	for _, preset := range []Carrier{CarrierCookie, CarrierBearer, CarrierJWTCookie, CarrierJWE, CarrierJWECookie} {
		if carrierNames[preset] == string(text) {
			*c = preset
			return nil
		}
	}
	return fmt.Errorf("unknown carrier %q (want cookie, bearer, jwt-cookie, jwe or jwe-cookie)", text)
}
