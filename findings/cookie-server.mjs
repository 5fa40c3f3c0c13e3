// An HTTP server for the scripts about cookies: node cookie-server.mjs PORT
//   /set?c=COOKIE&c=COOKIE&to=URL  sends each c as a Set-Cookie field, then redirects if asked
//   /echo?who=NAME                 answers with the Cookie field; standard output has NAME: FIELD
import http from 'node:http'

http.createServer((req, res) => {
  const { pathname, searchParams: query } = new URL(req.url, 'http://any')
  res.setHeader('Content-Type', 'text/plain')
  if (pathname.endsWith('/set')) {
    res.setHeader('Set-Cookie', query.getAll('c'))
    if (query.has('to')) res.writeHead(302, { Location: query.get('to') })
    return res.end('set\n')
  }
  const seen = req.headers.cookie ?? '(none)'
  if (query.has('who')) console.log(`${query.get('who')}: ${seen.replace(/;$/, '')}`)
  res.end(seen + '\n')
}).listen(+process.argv[2], '127.0.0.1')
