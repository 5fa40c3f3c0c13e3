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

// domain is the domain of the reasons in ErrorInfo.
const domain = "counterfoil"

// Status returns the answer to a caller for err: the answer of source.ProblemFor, as a gRPC
// status. A bad credential is UNAUTHENTICATED. A good credential that does not meet the rules
// is PERMISSION_DENIED. A stale verifier or an outage is UNAVAILABLE with a RetryInfo: then the
// client must keep the credential, which may be good. An ErrorInfo has the reason, such as
// INVALID_TOKEN or VERIFIER_STALE. The status does not contain the cause.
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
