/** What an access token says of its bearer. The API checks it; pages only show what fits. */
import { decodeJwt } from 'jose';

export type Permissions = {
  /** Who: the user's id. */
  subject: string;
  scopes: string[];
  /** The groups of the user pool; a group is a role. */
  roles: string[];
};

const NONE: Permissions = { subject: '', scopes: [], roles: [] };

export function permissions(accessToken: string): Permissions {
  try {
    const { sub, scope, 'cognito:groups': groups } = decodeJwt(accessToken);
    return {
      subject: sub ?? '',
      scopes: typeof scope === 'string' ? scope.split(' ').filter(Boolean) : [],
      roles: Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [],
    };
  } catch {
    return NONE;
  }
}
