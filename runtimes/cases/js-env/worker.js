// A variable is a global, also where nothing was asked yet.
const greeting = typeof GREETING === 'undefined' ? 'no greeting' : GREETING;

addEventListener('fetch', (event) => {
  event.respondWith(Response.json({ greeting, later: GREETING, env: process.env.GREETING }));
});
