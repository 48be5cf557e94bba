// A number is stored, and is a number again.
const KEY = 'counter';

addEventListener('fetch', (event) => {
  let counter = Cache.get(KEY) || 0;
  counter += 1;
  Cache.set(KEY, counter);
  event.respondWith(new Response(`Counter: ${counter}`));
});
