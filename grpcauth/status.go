package grpcauth

import (
	"net/http"
	"strings"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/source"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
)

// domain of the reasons in ErrorInfo.
const domain = "counterfoil"

// Status is what a caller is told about err: the answer of ProblemFor, in the words
// of gRPC. A bad credential is UNAUTHENTICATED, a good one that is not enough
// PERMISSION_DENIED. Stale knowledge or an outage is UNAVAILABLE with a RetryInfo: it
// says nothing about the credential, which the client must keep. An ErrorInfo names
// the reason, as INVALID_TOKEN or VERIFIER_STALE; the cause is not sent.
func Status(err error) *status.Status {
	p := source.ProblemFor(err, counterfoil.Header)
	code := codes.Internal
	switch p.Status {
	case http.StatusBadRequest:
		code = codes.InvalidArgument
	case http.StatusUnauthorized:
		code = codes.Unauthenticated
	case http.StatusForbidden:
		code = codes.PermissionDenied
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	}
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{
		Reason: strings.ToUpper(strings.ReplaceAll(p.Type, "-", "_")), Domain: domain,
	}}
	if p.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(p.RetryAfter)})
	}
	bare := status.New(code, p.Title)
	if s, err := bare.WithDetails(details...); err == nil {
		return s
	}
	return bare
}
