// Command floor answers each request with 200 and no body, at the address in its argument: the
// least that a server of net/http takes. The benchmark of the gateway starts it.
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	nothing := []string{"0"}
	log.Fatal(http.ListenAndServe(os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Length"] = nothing
		w.WriteHeader(http.StatusOK)
	})))
}
