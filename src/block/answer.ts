/** What to do with answers that may be there at once. */

/** Whether an answer is still to come: a promise of Node's or anything else with a `then`. */
export function isPromise<T>(answer: T | PromiseLike<T>): answer is PromiseLike<T> {
  return typeof (answer as PromiseLike<T> | null | undefined)?.then === 'function';
}

/** What `next` makes of an answer: at once where it is there, else when it comes. */
export function andThen<T, R>(
  answer: T | PromiseLike<T>,
  next: (value: T) => R | PromiseLike<R>,
): R | PromiseLike<R> {
  return isPromise(answer) ? answer.then(next) : next(answer);
}

/** Acts, and calls `after` as soon as that has been answered or has failed. */
export function ending<T>(act: () => T | PromiseLike<T>, after: () => void): T | PromiseLike<T> {
  let answer: T | PromiseLike<T>;
  try {
    answer = act();
  } catch (error) {
    after();
    throw error;
  }
  if (!isPromise(answer)) {
    after();
    return answer;
  }
  return answer.then(
    value => {
      after();
      return value;
    },
    error => {
      after();
      throw error;
    },
  );
}

/** Acts, and calls `after` as soon as that has failed. */
export function failing<T>(act: () => T | PromiseLike<T>, after: () => void): T | PromiseLike<T> {
  const fail = (error: unknown) => {
    after();
    throw error;
  };
  try {
    const answer = act();
    return isPromise(answer) ? answer.then(undefined, fail) : answer;
  } catch (error) {
    return fail(error);
  }
}
