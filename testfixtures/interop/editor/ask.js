// Speaks the language server protocol to yaml-language-server: node ask.js SCHEMA FILE [LINE:COL …] prints what it says
// about the file, and what it would complete at the places.
const {spawn} = require('child_process')
const fs = require('fs')
const path = require('path')

const [schema, file, ...places] = process.argv.slice(2)
const uri = 'file://' + path.resolve(file)
const settings = {yaml: {schemas: {['file://' + path.resolve(schema)]: [uri]}, validate: true, completion: true, schemaStore: {enable: false}}}
const server = spawn(process.execPath, [path.join(__dirname, 'node_modules/yaml-language-server/bin/yaml-language-server'), '--stdio'], {stdio: ['pipe', 'pipe', 'inherit']})

const waiting = {}
let asked = 0
let diagnosed
const diagnostics = new Promise(resolve => { diagnosed = resolve })

function send(message) {
  const body = Buffer.from(JSON.stringify({jsonrpc: '2.0', ...message}))
  server.stdin.write(`Content-Length: ${body.length}\r\n\r\n`)
  server.stdin.write(body)
}

function ask(method, params) {
  return new Promise(resolve => {
    waiting[++asked] = resolve
    send({id: asked, method, params})
  })
}

function take(m) {
  if (m.method === 'workspace/configuration') {
    send({id: m.id, result: m.params.items.map(item => settings[item.section] || {})})
  } else if (m.method === 'textDocument/publishDiagnostics') {
    diagnosed(m.params.diagnostics)
  } else if (m.id !== undefined && m.method) {
    send({id: m.id, result: null})
  } else if (waiting[m.id]) {
    waiting[m.id](m.result)
  }
}

let read = Buffer.alloc(0)
server.stdout.on('data', data => {
  read = Buffer.concat([read, data])
  for (;;) {
    const head = read.indexOf('\r\n\r\n')
    if (head < 0) return
    const end = head + 4 + Number(/Content-Length: (\d+)/.exec(read.slice(0, head))[1])
    if (read.length < end) return
    take(JSON.parse(read.slice(head + 4, end)))
    read = read.slice(end)
  }
})

async function main() {
  await ask('initialize', {processId: process.pid, rootUri: null, capabilities: {workspace: {configuration: true}, textDocument: {completion: {completionItem: {}}, publishDiagnostics: {}}}})
  send({method: 'initialized', params: {}})
  send({method: 'workspace/didChangeConfiguration', params: {settings}})
  send({method: 'textDocument/didOpen', params: {textDocument: {uri, languageId: 'yaml', version: 1, text: fs.readFileSync(file, 'utf8')}}})
  const found = await diagnostics
  const completions = {}
  for (const place of places) {
    const [line, col] = place.split(':').map(Number)
    const answer = await ask('textDocument/completion', {textDocument: {uri}, position: {line: line - 1, character: col - 1}})
    completions[place] = (answer.items || answer).map(item => item.label)
  }
  const says = found.map(d => `${d.range.start.line + 1}:${d.range.start.character + 1} ${d.message.split('\n')[0]}`)
  console.log(JSON.stringify({says, completions}))
  server.kill()
  process.exit(0)
}

main()
