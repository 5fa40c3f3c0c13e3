package api

import "time"

// Recover is the body of POST /v1/recovery.
type Recover struct {
	Identifier string `json:"identifier"` // or the address, which the user has proven
}

// Recovery answers POST /v1/recovery, for any name. It is what a code counts together with.
type Recovery struct {
	Recovery  string `json:"recovery"`
	ExpiresIn int64  `json:"expires_in"` // of the code, in seconds
}

// RecoveryCode is the body of POST /v1/recovery/code.
type RecoveryCode[S Text] struct {
	Recovery S `json:"recovery"`
	Code     S `json:"code"`
}

// Choose answers POST /v1/recovery/code and POST /v1/address/undo: Token is for POST /v1/invitations.
type Choose struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// Address answers GET /v1/address: that of the caller.
type Address struct {
	Address         string    `json:"address,omitempty"` // empty: there is none
	AddressVerified bool      `json:"address_verified,omitempty"`
	VerifiedAt      time.Time `json:"verified_at,omitzero"`
}

// AskAddress is the body of POST /v1/address.
type AskAddress struct {
	Address string `json:"address,omitempty"` // empty: the one that the caller has, to prove it
}

// Confirmation answers POST /v1/address. It is what a code counts together with.
type Confirmation struct {
	Confirmation string `json:"confirmation"`
	ExpiresIn    int64  `json:"expires_in"` // of the code, in seconds
}

// Confirm is the body of POST /v1/address/confirm: a token, or a confirmation and a code.
type Confirm[S Text] struct {
	Token        S `json:"token"`
	Confirmation S `json:"confirmation"`
	Code         S `json:"code"`
}

// UndoAddress is the body of POST /v1/address/undo.
type UndoAddress[S Text] struct {
	Token S `json:"token"`
}
