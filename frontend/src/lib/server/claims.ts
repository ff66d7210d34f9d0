/**
 * The claims of an access token. They are not verified here: the API does that, pages only decide
 * what to show.
 */
import { decodeJwt } from 'jose';

export type Permissions = {
  /** The user's id. */
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
