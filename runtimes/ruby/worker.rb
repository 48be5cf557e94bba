# Runs one worker: the arguments are its name and its script, the request comes on standard input. What a
# script finds: Request, Response and Cache, as Wasm Workers Server gives them.

require 'json'

# The key-value map.
class Cache
  @entries = {}

  class << self
    def init(entries)
      @entries = entries
    end

    def dump
      @entries
    end

    def get(key)
      @entries[key.to_s]
    end

    def set(key, value)
      @entries[key.to_s] = value.to_s
    end

    def delete(key)
      @entries.delete(key.to_s)
    end
  end
end

class Request
  attr_reader :url, :body, :method, :headers, :params

  def initialize(input)
    @url = input['url']
    @method = input['method']
    @headers = input['headers']
    @params = input['params'] || {}
    @body = input['body']
    @body = input['body_base64'].unpack1('m') if input['body_base64']
    Cache.init(input['kv'] || {})
  end
end

class Response
  attr_accessor :body, :status_code, :headers

  def initialize(body, status_code = 200, headers = {})
    @body = body
    @status_code = status_code
    @headers = headers
  end

  def self.ok(body)
    new(body)
  end

  def self.created(body)
    new(body, 201)
  end

  def self.not_found(body)
    new(body, 404)
  end

  def to_s
    text = body.to_s
    utf8 = text.dup.force_encoding(Encoding::UTF_8)
    base64 = !utf8.valid_encoding?
    JSON.generate({
      data: base64 ? [text].pack('m0') : utf8,
      status: status_code,
      headers: headers,
      kv: Cache.dump,
      base64: base64
    })
  end
end

name, source = ARGV.shift(2)
# Standard output is the response's: what a script prints goes to the log.
output = $stdout
$stdout = $stderr
begin
  eval(source, TOPLEVEL_BINDING, name)
  unless TOPLEVEL_BINDING.receiver.respond_to?(:worker, true)
    raise ScriptError, 'nothing answers requests: define the method worker(request)'
  end
  response = worker(Request.new(JSON.parse($stdin.read)))
  raise TypeError, "a Response is expected, not #{response.class}" unless response.is_a?(Response)

  output.write(response.to_s)
  output.flush
rescue Exception => e
  $stderr.puts(e.full_message(highlight: false))
  raise
end
