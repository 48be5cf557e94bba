# WASI 0.1 from Ruby: the interpreter and this program in one command.

$stdout.sync = true # nothing flushes when the start function returns
puts "hello from Ruby #{RUBY_VERSION}"
words = $stdin.read.split
puts words.tally.sort.map { |word, count| "#{word}: #{count}" }
puts "name: #{ENV.fetch('NAME', '(not granted)')}"
begin
  File.write("/data/ruby.txt", "written by Ruby\n")
  puts "file: written"
rescue SystemCallError => e
  puts "file: refused: #{e.class}"
end
