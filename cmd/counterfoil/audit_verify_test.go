package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The log of a month has more seals than a server takes: the newest are compared.
func TestAnchorsOfALongLog(t *testing.T) {
	var log bytes.Buffer
	for n := range uint64(43_200) {
		fmt.Fprintf(&log, `{"level":"INFO","msg":"audit seal","n":%d,"hash":"%064x"}`+"\n", math.MaxUint64-43_199+n, n)
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, log.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	anchors, err := (&auditVerify{Anchors: path}).anchors()
	if err != nil {
		t.Fatal(err)
	}
	a, err := (&settings{Data: t.TempDir()}).ownAdmin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	v, err := a.VerifyAudit(t.Context(), anchors)
	if err != nil || len(v.Problems) == 0 || !strings.Contains(v.Problems[0], "seals are missing") {
		t.Errorf("VerifyAudit with %d anchors = %+v, %v", len(anchors), v, err)
	}
	if last := anchors[len(anchors)-1]; last.N != math.MaxUint64 {
		t.Errorf("the newest anchor is of seal %d", last.N)
	}
}
