// An OAuth authorization server: client credentials, signed JWT access tokens, discovery and JWKS.
// Settings in OIDC_SETTINGS (JSON): port, clients [{client_id, client_secret, audience, scope, algorithm, ttl, claims}].
// A token request may add `extra` (JSON: claims, audience, algorithm, ttl), so that a test gets any token it needs.
// New keys at each start. GET /stats: token requests by client; each answer, also a refusal, counts.
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const settings = JSON.parse(process.env.OIDC_SETTINGS);
const byId = new Map(settings.clients.map((client) => [client.client_id, client]));
const stats = {};

async function key(algorithm) {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { ...(await exportJWK(privateKey)), use: 'sig' };
}

const extra = (ctx) => JSON.parse(ctx.oidc.body?.extra ?? '{}');

const provider = new Provider(`http://127.0.0.1:${settings.port}`, {
  clients: settings.clients.map(({ client_id, client_secret, scope }) => ({
    client_id, client_secret, ...(scope && { scope }), grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
  })),
  scopes: [...new Set(settings.clients.flatMap((client) => (client.scope ?? '').split(' ').filter(Boolean)))],
  jwks: { keys: await Promise.all([key('RS256'), key('ES256')]) },
  ttl: { ClientCredentials: (ctx, token) => token.resourceServer.accessTokenTTL },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:pas:default',
      useGrantedResource: () => true,
      getResourceServerInfo(ctx, resource, client) {
        const wanted = { algorithm: 'RS256', ttl: 600, ...byId.get(client.clientId), ...extra(ctx) };
        return {
          scope: client.scope ?? '',
          audience: wanted.audience ?? resource,
          accessTokenTTL: wanted.ttl,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: wanted.algorithm } },
        };
      },
    },
  },
  extraTokenClaims: (ctx, token) => ({ ...byId.get(token.clientId)?.claims, ...extra(ctx).claims }),
});

provider.use(async (ctx, next) => {
  if (ctx.path === '/stats') {
    ctx.body = stats;
    return;
  }
  await next();
  if (ctx.path === '/token') {
    const basic = /^Basic (.+)$/.exec(ctx.get('authorization'));
    const named = basic && decodeURIComponent(Buffer.from(basic[1], 'base64').toString().split(':')[0]);
    const id = named ?? ctx.oidc?.body?.client_id ?? 'unknown';
    stats[id] = (stats[id] ?? 0) + 1;
  }
});

provider.listen(settings.port, '127.0.0.1');
