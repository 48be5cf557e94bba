// WASI 0.1 from Go: goroutines, a channel, JSON, the environment, a file under /data.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
)

func main() {
	fmt.Println("hello from Go")

	squares := make(chan int)
	for i := 1; i <= 4; i++ {
		go func() { squares <- i * i }()
	}
	sum := 0
	for i := 0; i < 4; i++ {
		sum += <-squares
	}
	fmt.Println("sum of squares:", sum)

	input, _ := io.ReadAll(os.Stdin)
	report := map[string]any{"args": os.Args[1:], "name": os.Getenv("NAME"), "stdin": len(input)}
	text, err := json.Marshal(report)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	fmt.Println(string(text))

	if err := os.WriteFile("/data/go.txt", []byte("written by Go\n"), 0o644); err != nil {
		fmt.Println("file: refused:", err)
	} else {
		fmt.Println("file: written")
	}
	if len(os.Args) > 1 {
		if status, err := strconv.Atoi(os.Args[1]); err == nil {
			os.Exit(status)
		}
	}
}
