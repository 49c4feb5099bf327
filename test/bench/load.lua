-- Feeds wrk with requests that were prepared beforehand: a template for the head, one for the body, and a file with one
-- line of tab-separated fields for each request. The bytes 1 to 8 in a template stand for the first to eighth field.
-- Arguments: template of the head, template of the body, and the file of lines, where the requests differ.

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function compile(text)
  local parts, holes, start = {}, {}, 1
  while true do
    local at = text:find("[\1-\8]", start)
    if at == nil then break end
    parts[#parts + 1] = text:sub(start, at - 1)
    parts[#parts + 1] = ""
    holes[#holes + 1] = { #parts, text:byte(at) }
    start = at + 1
  end
  parts[#parts + 1] = text:sub(start)
  return { parts = parts, holes = holes }
end

local function filled(template, fields)
  local parts = template.parts
  for _, hole in ipairs(template.holes) do parts[hole[1]] = fields[hole[2]] end
  return table.concat(parts)
end

local thread
function setup(one) thread = one end

local head, body, lines
function init(args)
  head, body = compile(read(args[1])), compile(read(args[2]))
  if args[3] ~= nil then lines = assert(io.open(args[3], "rb")) end
end

local function made(fields)
  local content = filled(body, fields)
  if content == "" then return filled(head, fields) .. "\r\n" end
  return filled(head, fields) .. "Content-Length: " .. #content .. "\r\n\r\n" .. content
end

local same
spent = false
function request()
  if lines == nil then
    same = same or made({})
    return same
  end
  local line = lines:read("*l")
  if line == nil then
    spent = true
    wrk.thread:stop()
    return "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
  end
  local fields = {}
  for field in line:gmatch("[^\t]+") do fields[#fields + 1] = field end
  return made(fields)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"seconds":%.6f,"requests":%d,"p50":%.3f,"p95":%.3f,"p99":%.3f,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d,"spent":%s}\n',
    summary.duration / 1e6, summary.requests,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000,
    errors.connect, errors.read, errors.write, errors.status, errors.timeout, tostring(thread:get("spent"))
  ))
end
