puts 'this goes to the log'

def worker(request)
  count = Cache.get('count').to_i + 1
  Cache.set('count', count)
  body = "#{request.params['id']} #{request.body} #{request.headers['host']} #{ENV.fetch('GREETING')}"
  response = Response.new(body)
  response.headers['x-generated-by'] = 'reef'
  response
end
