-- Asks the gateway about each request. Write in the configuration of HAProxy (2.6 or later)
--   global section: lua-load counterfoil.lua
--   frontend:       http-request lua.counterfoil GATEWAY
--   backend:        server service UPSTREAM
-- GATEWAY is the address of the gateway, UPSTREAM that of the service. The frontend chooses the backend by the
-- host, with none for other hosts.
local names = {
	"counterfoil-subject", "counterfoil-session", "counterfoil-client", "counterfoil-roles",
	"counterfoil-scopes", "counterfoil-acr", "counterfoil-auth-time",
	"counterfoil-assertion",
	"remote-user", "remote-groups", "remote-email", "remote-name",
}

-- What else a visitor may not tell the service: who they are, where they come from, what they ask for, and which method they mean.
local claims = {
	"forwarded", "x-forwarded-method", "x-forwarded-uri", "x-forwarded-prefix",
	"x-original-method", "x-original-url", "x-original-uri", "x-rewrite-url",
	"x-real-ip", "x-forwarded-port", "x-forwarded-server", "x-forwarded-scheme", "x-forwarded-ssl",
	"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username", "x-remote-user",
	"x-auth-request-user", "x-auth-request-email", "x-auth-request-groups", "x-auth-request-preferred-username",
	"x-http-method-override", "x-http-method", "x-method-override",
}

-- What a refusal passes on to the visitor.
local passed = { "location", "www-authenticate", "retry-after", "cache-control", "content-type" }

-- Clients of OAuth learn at this path who gives tokens for the service (RFC 9728).
local metadata = "/.well-known/oauth-protected-resource"

-- What HAProxy says itself of the connection of a visitor.
local own = { ["content-length"] = true, ["transfer-encoding"] = true, ["connection"] = true }

-- The most lines of headers of a visitor: HAProxy's HTTP client has room for tune.http.maxhdr, by default 101.
local most = 80

local function delete(txn, headers)
	for _, name in ipairs(headers) do
		txn.http:req_del_header(name)
	end
end

-- sign_in has the gateway answer a person who signs in: it alone has what is at /.counterfoil/.
local function sign_in(txn, gateway, question)
	local client, method = core.httpclient(), txn.sf:method()
	local ask = client.post
	if method == "GET" then
		ask = client.get
	elseif method == "HEAD" then
		ask = client.head
	end
	local answer = ask(client, { url = "http://" .. gateway .. txn.sf:pathq(), headers = question, timeout = 10000 })
	if answer.headers == nil or answer.headers["content-security-policy"] == nil then
		error("no answer of a gateway")
	end
	local headers = {}
	for name, values in pairs(answer.headers) do
		if not own[name] then
			headers[name] = values
		end
	end
	return { status = answer.status, headers = headers, body = answer.body, whole = true }
end

-- no_other_upgrade leaves a visitor only the upgrade to a WebSocket: another one would be a connection with requests
-- that nobody asks about.
local function no_other_upgrade(txn)
	local to = txn.http:req_get_headers()["upgrade"]
	if to ~= nil and (to[1] ~= nil or string.lower(to[0]) ~= "websocket") then
		txn.http:req_del_header("upgrade")
		txn.http:req_del_header("http2-settings")
	end
end

-- decide asks the gateway. It returns nothing if the request may pass, and else a refusal.
local function decide(txn, gateway)
	no_other_upgrade(txn)
	local question, lines = {}, 0
	for name, values in pairs(txn.http:req_get_headers()) do
		question[name] = {}
		for n = 0, #values do
			table.insert(question[name], values[n])
			lines = lines + 1
		end
	end
	if lines > most then
		return { status = 431, headers = {}, body = "" }
	end
	-- The question has no body, and each word about the request is HAProxy's own.
	local proto, host, target = txn.f:ssl_fc() == 1 and "https" or "http", txn.sf:req_fhdr("host"), txn.sf:pathq()
	question["content-length"], question["transfer-encoding"], question["connection"], question["expect"] = nil, nil, nil, nil
	question["x-forwarded-method"] = { txn.sf:method() }
	question["x-forwarded-proto"] = { proto }
	question["x-forwarded-host"] = { host }
	question["x-forwarded-uri"] = { target }
	question["x-forwarded-for"] = { txn.sf:src() }
	if string.sub(target, 1, 14) == "/.counterfoil/" then
		return sign_in(txn, gateway, question)
	end

	local answer = core.httpclient():get({ url = "http://" .. gateway .. "/forward-auth", headers = question, timeout = 2000 })
	if answer.status == 200 and answer.headers["counterfoil-subject"] ~= nil then
		delete(txn, names)
		delete(txn, claims)
		for _, name in ipairs(names) do
			if answer.headers[name] ~= nil then
				txn.http:req_set_header(name, answer.headers[name][0])
			end
		end
		txn.http:req_set_uri(target) -- without the scheme and host that a visitor may write there
		txn.http:req_del_header("authorization")
		txn.http:req_set_header("x-forwarded-proto", proto)
		txn.http:req_set_header("x-forwarded-host", host)
		txn.http:req_set_header("x-forwarded-for", txn.sf:src())
		return nil
	end
	-- Only a refusal of the gateway says something about the visitor. HAProxy makes up answers when nobody listens.
	if answer.headers == nil or answer.headers["counterfoil-refusal"] == nil then
		error("no answer of a gateway")
	end
	return answer
end

-- describe asks the gateway for metadata, which it returns in place of a refusal.
local function describe(txn, gateway)
	local url = "http://" .. gateway .. txn.sf:path()
	local answer = core.httpclient():get({ url = url, headers = { host = { txn.sf:req_fhdr("host") } }, timeout = 2000 })
	if answer.headers == nil or answer.headers["content-type"] == nil then
		error("no answer of a gateway")
	end
	return answer
end

core.register_action("counterfoil", { "http-req" }, function(txn, gateway)
	local ask, path = decide, txn.sf:path()
	if path == metadata or path:sub(1, #metadata + 1) == metadata .. "/" then
		ask = describe
	end
	-- HAProxy would let the request pass after an error in a script.
	local ran, refusal = pcall(ask, txn, gateway)
	if ran and refusal == nil then
		return
	end
	if not ran then
		refusal = { status = 503, headers = { ["retry-after"] = { [0] = "1" } }, body = "" }
	end
	local reply = txn:reply({ status = refusal.status, body = refusal.body })
	local names = passed
	if refusal.whole then
		names = {}
		for name in pairs(refusal.headers) do
			table.insert(names, name)
		end
	end
	for _, name in ipairs(names) do
		local values = refusal.headers[name]
		if values ~= nil then
			for n = 0, #values do
				reply:add_header(name, values[n])
			end
		end
	end
	txn:done(reply)
end, 1)
