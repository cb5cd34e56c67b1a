import { setMaxListeners } from 'node:events';

/** An AbortController whose signal any number of requests listen to at once, which is no leak. */
export function controllerForMany(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/**
 * Waits for what others settle, unless the signal is aborted first: then it fails with the signal's
 * reason, and what `wait` has returned is called, so that nobody settles for one who has left.
 */
export function abortable<T>(
  signal: AbortSignal | undefined,
  wait: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      forget();
      reject(signal!.reason);
    };
    const stop = () => signal?.removeEventListener('abort', leave);
    const forget = wait(
      value => {
        stop();
        resolve(value);
      },
      error => {
        stop();
        reject(error);
      },
    );
    if (!signal) return;
    if (signal.aborted) {
      leave();
      return;
    }
    // All requests of a connection have one signal, which is no leak.
    setMaxListeners(0, signal);
    signal.addEventListener('abort', leave);
  });
}
