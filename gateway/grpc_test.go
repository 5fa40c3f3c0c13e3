package gateway_test

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/counterfoil/counterfoil/gateway"
	"github.com/counterfoil/counterfoil/gateway/extauthz"
	pb "github.com/counterfoil/counterfoil/internal/envoyauth"
)

// overGRPC asks g over gRPC what Envoy would ask over HTTP at /ext-authz, and answers as Envoy would
// get it over HTTP: what the tests say of the other dialects holds for this one.
func overGRPC(g *gateway.Gateway) http.Handler {
	call := extauthz.Handler(g, slog.New(slog.DiscardHandler))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		about := &pb.AttributeContext_HttpRequest{
			Method: r.Method, Host: r.Host, Path: strings.TrimPrefix(r.RequestURI, "/ext-authz"), HeaderMap: &pb.HeaderMap{},
		}
		for name, values := range r.Header {
			for _, value := range values {
				about.HeaderMap.Headers = append(about.HeaderMap.Headers, &pb.HeaderValue{Key: name, RawValue: []byte(value)})
			}
		}
		message, err := proto.Marshal(&pb.CheckRequest{Attributes: &pb.AttributeContext{Request: &pb.AttributeContext_Request{Http: about}}})
		if err != nil { // text that is not UTF-8, which Envoy may send
			message = []byte{0xff}
		}
		asked := httptest.NewRequest(http.MethodPost, extauthz.Procedure, bytes.NewReader(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)))
		asked.ProtoMajor, asked.RemoteAddr = 2, r.RemoteAddr
		asked.Header.Set("Content-Type", "application/grpc")
		got, said := httptest.NewRecorder(), new(pb.CheckResponse)
		call.ServeHTTP(got, asked)
		if frame := got.Body.Bytes(); len(frame) < 5 || proto.Unmarshal(frame[5:], said) != nil {
			http.Error(w, "an error of gRPC: "+got.Result().Trailer.Get("Grpc-Message"), http.StatusBadGateway)
			return
		}
		status, headers := http.StatusOK, said.GetOkResponse().GetHeaders()
		if denied := said.GetDeniedResponse(); denied != nil {
			status, headers = int(denied.GetStatus().GetCode()), denied.GetHeaders()
		} else { // what HTTP alone has
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Length", "0")
		}
		if r.ContentLength != 0 { // the same
			w.Header().Set("Connection", "close")
		}
		if gone := said.GetOkResponse().GetHeadersToRemove(); gone != nil {
			w.Header().Set(gateway.RemoveHeader, strings.Join(gone, ", "))
		}
		for _, h := range headers {
			w.Header().Add(h.GetHeader().GetKey(), h.GetHeader().GetValue())
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(said.GetDeniedResponse().GetBody()))
	})
}
