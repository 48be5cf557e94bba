// An HTTP handler in the manner of CGI: the program runs once for each request.
package main

import (
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
)

func main() {
	if err := cgi.Serve(http.HandlerFunc(handle)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func handle(answer http.ResponseWriter, request *http.Request) {
	answer.Header().Set("Content-Type", "text/plain; charset=utf-8")
	// The path below the route; that of the URL has the route's own in front.
	if path := os.Getenv("PATH_INFO"); path != "" && path != "/" {
		answer.WriteHeader(http.StatusNotFound)
		fmt.Fprintln(answer, "There is nothing here.")
		return
	}
	name := request.URL.Query().Get("name")
	if name == "" {
		name = "world"
	}
	fmt.Fprintf(answer, "Hello, %s!\n", name)
}
