/** The image of a prepared database is made once. */
import assert from "node:assert/strict";
import { openEmbedded } from "../../local/database.ts";
import { preparationHash, preparedImage } from "../../local/image.ts";

Deno.test("of several processes that need an image at once, one makes it", async () => {
  const folder = await Deno.makeTempDir({ prefix: "migrations-" });
  const version = crypto.getRandomValues(new Uint32Array(1))[0];
  await Deno.writeTextFile(`${folder}/${version}_new.sql`, "create table public.made_once ();");
  let times = 0;
  const preparation = {
    migrations: new URL(`file://${folder}/`),
    seed: false,
    onApply: () => times++,
  };
  const image = new URL(
    `../../.local/images/${await preparationHash(preparation)}`,
    import.meta.url,
  );
  try {
    const images = await Promise.all([1, 2, 3].map(() => preparedImage(preparation)));
    assert.equal(times, 1);
    assert.equal(new Set(images.map(({ size }) => size)).size, 1);
    const database = await openEmbedded({ image: images[2] });
    assert.deepEqual(await database.query("select * from public.made_once"), []);
    await database.close();
  } finally {
    for (const file of [image, `${image.pathname}.lock`]) await Deno.remove(file);
    await Deno.remove(folder, { recursive: true });
  }
});
