-- Asks the gateway about each request. Write in the global section of HAProxy (2.6 or later)
-- lua-load counterfoil.lua, and in the frontend http-request lua.counterfoil GATEWAY, with
-- the address of the gateway. Choose the backend by the host, with none for other hosts.
local names = {
	"counterfoil-subject", "counterfoil-session", "counterfoil-client", "counterfoil-roles",
	"counterfoil-scopes", "counterfoil-acr", "counterfoil-auth-time",
	"counterfoil-assertion",
	"remote-user", "remote-groups", "remote-email", "remote-name",
}

-- What a refusal passes on to the visitor.
local passed = { "location", "www-authenticate", "retry-after", "cache-control", "content-type" }

core.register_action("counterfoil", { "http-req" }, function(txn, gateway)
	local question = {}
	for name, values in pairs(txn.http:req_get_headers()) do
		question[name] = {}
		for n = 0, #values do
			table.insert(question[name], values[n])
		end
	end
	-- The question has no body, and each word about the request is HAProxy's own.
	question["content-length"], question["transfer-encoding"], question["connection"], question["expect"] = nil, nil, nil, nil
	question["x-forwarded-method"] = { txn.sf:method() }
	question["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
	question["x-forwarded-host"] = { txn.sf:req_hdr("host") }
	question["x-forwarded-uri"] = { txn.sf:pathq() }

	local answer = core.httpclient():get({ url = "http://" .. gateway .. "/forward-auth", headers = question })
	for _, name in ipairs(names) do
		txn.http:req_del_header(name)
	end
	if answer.status == 200 and answer.headers["counterfoil-subject"] ~= nil then
		for _, name in ipairs(names) do
			txn.http:req_set_header(name, answer.headers[name][0])
		end
		txn.http:req_del_header("authorization")
		return
	end
	-- Nobody answered, or somebody who is no gateway: that says nothing about the visitor.
	local status, headers = answer.status, answer.headers or {}
	if status ~= 302 and status < 400 then
		status, headers, answer.body = 503, { ["retry-after"] = { [0] = "1" } }, ""
	end
	local reply = txn:reply({ status = status, body = answer.body })
	for _, name in ipairs(passed) do
		if headers[name] ~= nil then
			reply:add_header(name, headers[name][0])
		end
	end
	txn:done(reply)
end, 1)
