;; The start function of a Ruby command: initialises the interpreter, evaluates the program that was
;; put in place of the marks below, and exits with 1 if it raised.
;;
;; The interpreter exports functions of an early canonical ABI: a string is an address and a length,
;; a list of strings is an address of such pairs and their number.
(module
  (import "ruby" "memory" (memory 1))
  (import "ruby" "_initialize" (func $initialize))
  (import "ruby" "cabi_realloc" (func $allocate (param i32 i32 i32 i32) (result i32)))
  (import "ruby" "ruby-init: func(args: list<string>) -> ()" (func $ruby_init (param i32 i32)))
  (import "ruby" "ruby-init-loadpath: func() -> ()" (func $ruby_init_loadpath))
  (import "ruby" "rb-eval-string-protect: func(str: string) -> tuple<handle<rb-abi-value>, s32>"
    (func $evaluate (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))

  ;; Arguments, each ended by a zero byte: the name, the encoding, no library that is not in
  ;; the interpreter itself, and an empty program.
  (data $arguments "ruby\00-EUTF-8\00--disable-all\00-e_=0\00")
  (data $program "@PROGRAM@")

  (func $set_pair (param $at i32) (param $address i32) (param $length i32)
    (i32.store (local.get $at) (local.get $address))
    (i32.store offset=4 (local.get $at) (local.get $length)))

  (func (export "_start")
    (local $text i32) (local $list i32) (local $result i32)
    (call $initialize)

    (local.set $text (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 33)))
    (memory.init $arguments (local.get $text) (i32.const 0) (i32.const 33))
    (local.set $list (call $allocate (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 32)))
    (call $set_pair (local.get $list) (local.get $text) (i32.const 4))
    (call $set_pair (i32.add (local.get $list) (i32.const 8))
      (i32.add (local.get $text) (i32.const 5)) (i32.const 7))
    (call $set_pair (i32.add (local.get $list) (i32.const 16))
      (i32.add (local.get $text) (i32.const 13)) (i32.const 13))
    (call $set_pair (i32.add (local.get $list) (i32.const 24))
      (i32.add (local.get $text) (i32.const 27)) (i32.const 5))
    (call $ruby_init (local.get $list) (i32.const 4))
    (call $ruby_init_loadpath)

    (local.set $text
      (call $allocate (i32.const 0) (i32.const 0) (i32.const 1) (i32.const @LENGTH@)))
    (memory.init $program (local.get $text) (i32.const 0) (i32.const @LENGTH@))
    ;; The result is a handle and, after it, a status that is zero when nothing was raised.
    (local.set $result (call $evaluate (local.get $text) (i32.const @LENGTH@)))
    (call $exit (i32.ne (i32.load offset=4 (local.get $result)) (i32.const 0)))))
