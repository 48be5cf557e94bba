;; A command against `wasi_unstable`, the name of WASI before 0.1: prints a line, then exits with 7.
(module
  (import "wasi_unstable" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_unstable" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; One piece: 25 bytes at address 16.
  (data (i32.const 0) "\10\00\00\00\19\00\00\00")
  (data (i32.const 16) "hello from wasi_unstable\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
    (call $proc_exit (i32.const 7))))
