/** Which hosts a deployed Worker cannot reach: this machine, and private networks. Pure: by the name alone, no look-up. */

const THIS_MACHINE = /^(localhost|.+\.localhost|127\..+|0\.0\.0\.0|\[::1?\])$/i;
const PRIVATE =
  /^(10\..+|192\.168\..+|172\.(1[6-9]|2\d|3[01])\..+|169\.254\..+|\[f[cd][0-9a-f]{2}:.+|\[fe80:.+|.+\.(local|internal))$/i;

export const isThisMachine = (url: string): boolean => THIS_MACHINE.test(new URL(url).hostname);

export const isOutOfReach = (url: string): boolean => isThisMachine(url) || PRIVATE.test(new URL(url).hostname);
