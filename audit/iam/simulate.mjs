// Decides requests as IAM does. Reads {policies, requests} from standard input and writes one answer a request; see
// simulator.py. Each answer has the statements that decided, policy by policy, and the result without those of a policy.
import { readFileSync } from 'node:fs'
import { runSimulation } from '@cloud-copilot/iam-simulate'

// The simulator's reference writes this key with a variable, `kms:EncryptionContext:${EncryptionContextKey}`, which it
// then matches literally. A request tag is a key of the same type whose name is free.
// And it takes a wildcard for a resource's type literally: `*/*` is what the Lambda Developer Guide asks for.
const spelled = (text) =>
  text
    .replaceAll('kms:EncryptionContext:', 'aws:RequestTag/kms-encryption-context-')
    .replaceAll(':*/*"', ':network-interface/*"')
const { policies, requests } = JSON.parse(spelled(readFileSync(0, 'utf8')))

const without = (statements, dropped) => statements.filter((_, index) => !dropped.includes(index))

async function decide(request, left = {}) {
  const policy = (name) => ({ Version: '2012-10-17', Statement: without(policies[name], left[name] ?? []) })
  const named = (names) => names.map((name) => ({ name, policy: policy(name) }))
  const answer = await runSimulation(
    {
      request: {
        principal: request.principal,
        action: request.action,
        resource: { resource: request.resource, accountId: request.account },
        contextVariables: request.context,
      },
      identityPolicies: named(request.identity),
      resourcePolicy: request.attached ? policy(request.attached) : undefined,
      permissionBoundaryPolicies: request.boundary.length ? named(request.boundary) : undefined,
      vpcEndpointPolicies: request.endpoint ? named([request.endpoint]) : undefined,
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  )
  if (answer.resultType === 'error') throw new Error(`${request.action}: ${JSON.stringify(answer.errors)}`)
  if (answer.results?.length === 0) throw new Error(`${request.action}: name a resource, ${request.resource} is none`)
  const [{ analysis, ignoredContextKeys }] = answer.results ?? [answer.result]
  return { result: answer.overallResult, analysis, ignored: ignoredContextKeys ?? [] }
}

// The numbers of the statements that decided, by the name of their policy.
function deciding({ result, analysis }, request) {
  const kind = result === 'ExplicitlyDenied' ? 'denyStatements' : 'allowStatements'
  const found = {}
  const add = (name, analysed) => {
    for (const statement of analysed?.[kind] ?? []) {
      const policy = name ?? statement.policyId
      const index = policies[policy].findIndex((each) => JSON.stringify(each) === JSON.stringify(statement.statement))
      found[policy] = [...(found[policy] ?? []), index]
    }
  }
  add(undefined, analysis.identityAnalysis)
  add(request.attached, analysis.resourceAnalysis)
  add(undefined, analysis.permissionBoundaryAnalysis)
  add(request.endpoint, analysis.endpointAnalysis)
  return found
}

const answers = []
for (const request of requests) {
  const decided = await decide(request)
  const statements = deciding(decided, request)
  const changed = {}
  for (const [policy, indices] of Object.entries(statements)) {
    changed[policy] = (await decide(request, { [policy]: indices })).result
  }
  answers.push({ result: decided.result, statements, without: changed, ignored: decided.ignored })
}
process.stdout.write(JSON.stringify(answers))
