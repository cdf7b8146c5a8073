// An OAuth authorization server: client credentials, device code and refresh, signed JWT access tokens, discovery and JWKS.
// Settings in OIDC_SETTINGS (JSON): port, clients [{client_id, client_secret, audience, scope, algorithm, ttl, claims}].
// A token request may add `extra` (JSON: claims, audience, algorithm, ttl), so that a test gets any token it needs.
// A client with `page` logs people in by authorization code; each person is paula, without being asked more.
// A device login is confirmed (or refused) by POST /confirm?user_code=…[&refuse=1], as a person would in a browser.
// New keys at each start. GET /stats: token requests by client; each answer, also a refusal, counts.
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';

const DEVICE_CODE = 'urn:ietf:params:oauth:grant-type:device_code';
const settings = JSON.parse(process.env.OIDC_SETTINGS);
const byId = new Map(settings.clients.map((client) => [client.client_id, client]));
const stats = {};

async function key(algorithm) {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { ...(await exportJWK(privateKey)), use: 'sig' };
}

const extra = (ctx) => JSON.parse(ctx.oidc.body?.extra ?? '{}');

const provider = new Provider(`http://127.0.0.1:${settings.port}`, {
  clients: settings.clients.map(({ client_id, client_secret, scope, page }) => (page ? {
    client_id, client_secret, application_type: 'native', grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['http://127.0.0.1/ui/login/done'], post_logout_redirect_uris: ['http://127.0.0.1/ui/login'],
    token_endpoint_auth_method: 'client_secret_basic',
  } : {
    client_id, ...(scope && { scope }), redirect_uris: [], response_types: [],
    ...(client_secret
      ? { client_secret, grant_types: ['client_credentials'] }
      : { token_endpoint_auth_method: 'none', grant_types: [DEVICE_CODE, 'refresh_token'] }),
  })),
  issueRefreshToken: async (ctx, client, code) => client.grantTypeAllowed('refresh_token')
    && (code.scopes.has('offline_access') || byId.get(client.clientId).page),
  scopes: ['openid', 'offline_access',
    ...new Set(settings.clients.flatMap((client) => (client.scope ?? '').split(' ').filter(Boolean)))],
  jwks: { keys: await Promise.all([key('RS256'), key('ES256')]) },
  ttl: {
    ClientCredentials: (ctx, token) => token.resourceServer.accessTokenTTL,
    AccessToken: (ctx, token) => token.resourceServer?.accessTokenTTL ?? 600,
    DeviceCode: 60, Grant: 3600, IdToken: 600, RefreshToken: 3600,
  },
  findAccount: (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true, mask: '****-****' },
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

provider.Client.prototype.postLogoutRedirectUriAllowed = () => true; // of whatever port

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith('/interaction/')) { // the person is asked, and says who it is
    const { params } = await provider.interactionDetails(ctx.req, ctx.res);
    const grant = new provider.Grant({ accountId: 'paula', clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    grant.addResourceScope('urn:pas:default', params.scope);
    const result = { login: { accountId: 'paula' }, consent: { grantId: await grant.save() } };
    ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: false }));
    return;
  }
  if (ctx.path === '/stats') {
    ctx.body = stats;
    return;
  }
  if (ctx.path === '/confirm') {
    const code = await provider.DeviceCode.findByUserCode(ctx.query.user_code.replace('-', ''), { ignoreExpiration: true });
    if (ctx.query.refuse) {
      Object.assign(code, { error: 'access_denied', errorDescription: 'the person said no' });
    } else {
      const scope = code.params.scope;
      const grant = new provider.Grant({ accountId: 'dora', clientId: code.clientId });
      grant.addOIDCScope(scope);
      grant.addResourceScope('urn:pas:default', scope);
      Object.assign(code, {
        accountId: 'dora', grantId: await grant.save(), scope, resource: 'urn:pas:default',
        authTime: Math.floor(Date.now() / 1000), claims: {}, amr: [], sessionUid: 'none', expiresWithSession: false,
      });
    }
    await code.save();
    ctx.body = { done: true };
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
