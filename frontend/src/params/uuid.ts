export { isUuid as match } from '$lib/ids';
