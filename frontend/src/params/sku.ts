export { isSku as match } from '$lib/ids';
