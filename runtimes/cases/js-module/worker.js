// A module, an asynchronous function, time that passes, bytes.
export default {
  async fetch(request, env) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const bytes = new Uint8Array([255, ...new TextEncoder().encode((await request.json()).name)]);
    return new Response(bytes, {
      status: 201,
      headers: [['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['content-type', env.TYPE]],
    });
  },
};
