package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"
)

// A login outlives the program.
func TestRestart(t *testing.T) {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := port.Addr().String()
	_ = port.Close()
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	folder := t.TempDir()

	ask := func(method, path, body string) (int, string) {
		t.Helper()
		for {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Origin", "http://"+address)
			answer, err := client.Do(r)
			if err != nil { // the program does not listen yet
				if t.Context().Err() != nil {
					t.Fatal(err)
				}
				continue
			}
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			return answer.StatusCode, string(text)
		}
	}
	during := func(do func()) {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- run(ctx, folder, address) }()
		do()
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}

	during(func() {
		status, text := ask("POST", "/v1/register", `{"identifier":"carol","password":"blue kettle under the stairs","carrier":"cookie"}`)
		if status != http.StatusCreated && status != http.StatusOK {
			t.Fatalf("register = %d %s", status, text)
		}
	})
	during(func() {
		if status, text := ask("GET", "/notes", ""); status != http.StatusOK || !strings.HasPrefix(text, "the notes of usr_") {
			t.Errorf("after a restart /notes = %d %s", status, text)
		}
	})
}
