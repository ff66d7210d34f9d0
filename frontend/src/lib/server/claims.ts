/** What an access token says its bearer may do. The API checks it; pages only show what fits. */
import { decodeJwt } from 'jose';

export type Permissions = {
  scopes: string[];
  /** The groups of the user pool; a group is a role. */
  roles: string[];
};

const NONE: Permissions = { scopes: [], roles: [] };

export function permissions(accessToken: string): Permissions {
  try {
    const { scope, 'cognito:groups': groups } = decodeJwt(accessToken);
    return {
      scopes: typeof scope === 'string' ? scope.split(' ').filter(Boolean) : [],
      roles: Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [],
    };
  } catch {
    return NONE;
  }
}
